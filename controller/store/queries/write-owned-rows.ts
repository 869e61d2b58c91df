import { statement } from '#controller/store/statement.ts';
import { writeRowsText, type WriteRowsParams } from './write-rows-text.ts';

/** As write_rows, by the engine: inserted rows may have an owner and a slot. */
export const writeOwnedRows = statement<WriteRowsParams, never>({
  name: 'write_owned_rows',
  text: writeRowsText({ owned: true, wakes: true }),
});
