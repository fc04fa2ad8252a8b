import { taskQueue } from '../../workflows/options.ts';
import { connection, type Ground } from './ground.ts';

/** What a person can do while the demo keeps everything running. */
export function describeKeep({ folder, servers, source }: Ground): string[] {
  const [person] = source.directory.userIds();
  const header = `-H 'authorization: Bearer ${source.token}'`;
  const edit = JSON.stringify({
    schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
    Operations: [{ op: 'replace', path: 'title', value: 'Captain' }],
  });
  return [
    '',
    'Everything runs on; Ctrl-C stops it.',
    `  Temporal UI  ${servers.uiAddress}`,
    `  Postgres     psql '${servers.databaseUrl}'`,
    `  Source       ${source.url}`,
    '',
    'Look at the source, and change somebody there:',
    `  curl ${header} '${source.url}/Users?count=2'`,
    `  curl -X PATCH ${header} -H 'content-type: application/scim+json' -d '${edit}' '${source.url}/Users/${person}'`,
    '',
    `Start a run in the Temporal UI (Start Workflow): task queue ${taskQueue}, workflow type orgSync, any id, input`,
    `  {"connection":"${connection}"}`,
    '',
    'Or with the CLI, in another terminal:',
    `  export SYNCLINE_DATA_DIR='${folder}'`,
    `  npx syncline start orgSync ${connection} --wait`,
    `  npx syncline status ${connection}`,
    `  npx syncline changes ${connection}`,
  ];
}
