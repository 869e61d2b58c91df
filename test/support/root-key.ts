import type { ApiKeyRow } from '#controller/store/rows.ts';
import { newKey } from '#api/new-key.ts';

/** A platform key of class human with all scopes, unless told otherwise; and its text. */
export function rootKey(
  hmacSecret: string,
  overrides: Partial<ApiKeyRow> = {},
): { readonly row: ApiKeyRow; readonly text: string } {
  const plain = { name: 'root', workspace: null, class: 'human', scopes: ['*'], createdAt: Date.now() } as const;
  const { row, text } = newKey({ env: 'test', hmacSecret }, plain);
  return { row: { ...row, ...overrides }, text };
}
