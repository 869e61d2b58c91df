import { keyColumns, type KeyColumns } from '#controller/store/key-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** A key by id, behind `vibn.key`: authentication runs before the workspace is known. */
export const findKey = statement<[id: string], KeyColumns>({
  name: 'find_key',
  repeatable: true,
  text: `select ${keyColumns} from api_keys where id = $1::text`,
});
