import { SyncError } from '../../errors.ts';

const refusedUser = ['28P01', '28000', 'ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR'];
const noRight = ['42501', 'ER_TABLEACCESS_DENIED_ERROR', 'ER_COLUMNACCESS_DENIED_ERROR'];
const lacks = /^(42|3D|3F)|^ER_(NO_SUCH_TABLE|BAD_FIELD_ERROR|BAD_DB_ERROR|PARSE_ERROR|WRONG_TABLE_NAME)$/;
const away = /^(ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE|PROTOCOL_CONNECTION_LOST|08|57|ER_SERVER_SHUTDOWN|ER_CON_COUNT)/;

/** Trouble of a foreign database, told apart from our own: codes only, since texts quote values. */
export function foreignTrouble(connection: string, cause: unknown): unknown {
  if (cause instanceof SyncError) return cause;
  const { code: given } = cause as { code?: unknown };
  const code = typeof given === 'string' ? given : '';
  const told = (type: ConstructorParameters<typeof SyncError>[0], text: string) =>
    new SyncError(
      type,
      `The source database of "${connection}" ${text} (${/^[0-9A-Z]{5}$/.test(code) ? 'SQLSTATE ' : ''}${code})`,
      { cause },
    );
  if (refusedUser.includes(code)) return told('Unauthorized', 'refused the user or password');
  if (noRight.includes(code)) return told('Forbidden', 'does not let its user read the table');
  if (away.test(code)) return told('Unavailable', 'does not answer');
  if (lacks.test(code)) return told('BadAnswer', 'lacks the table or a column');
  return cause;
}
