import { statement } from '#controller/store/statement.ts';
import { writeRowsText, type WriteRowsParams } from './write-rows-text.ts';

/** Flow step 3: rows, queue, revisions, topics, request and audit of one mutation, as the API may write them. */
export const writeRows = statement<WriteRowsParams, never>({
  name: 'write_rows',
  text: writeRowsText({ owned: false, wakes: true }),
});
