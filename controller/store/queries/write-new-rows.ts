import { statement } from '#controller/store/statement.ts';
import { writeRowsText, type WriteRowsParams } from './write-rows-text.ts';

/**
 * As write_rows, where all rows are new and nobody listens to what they fire (read under the shard's lock, which every change of listeners
 * takes): it has no one to wake, and a third less of a plan to start.
 */
export const writeNewRows = statement<WriteRowsParams, never>({
  name: 'write_new_rows',
  text: writeRowsText({ owned: false, wakes: false }),
});
