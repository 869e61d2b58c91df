import { keyColumns, type KeyColumns } from '#controller/store/key-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** Keys of a workspace; null: the platform-wide ones. Oldest first. */
export const listKeys = statement<[workspace: string | null], KeyColumns>({
  name: 'list_keys',
  repeatable: true,
  text: `select ${keyColumns} from api_keys where workspace is not distinct from $1::text order by created_at, id`,
});
