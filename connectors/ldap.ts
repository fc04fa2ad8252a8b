import * as v from 'valibot';
import { directoryOptions } from './directory.ts';
export const ldapOptions = v.strictObject({ ...directoryOptions, baseDn: v.string() });
export type LdapOptions = v.InferOutput<typeof ldapOptions>;
