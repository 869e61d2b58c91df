import { keyColumns, type KeyColumns } from '#controller/store/key-columns.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * Keys of a workspace; null: the platform-wide ones. Oldest first, after $2 (ms, so to the ms) and $3, at most $4.
 */
export const listKeys = statement<[workspace: string | null, at: number, id: string, limit: number], KeyColumns>({
  name: 'list_keys',
  repeatable: true,
  text: `
select ${keyColumns} from api_keys
where (workspace = $1::text or $1::text is null and workspace is null)
  and (date_trunc('milliseconds', created_at), id) > ($2::timestamptz, $3::text)
order by date_trunc('milliseconds', created_at), id limit $4::int`,
});
