import { bucket } from './bucket.ts';
import type { Kind } from './kind.ts';
import { objectDeletion } from './object-deletion.ts';
import { workspace } from './workspace.ts';

/** Every kind that can be declared: one line each. */
export const kinds: readonly Kind[] = [workspace, bucket, objectDeletion];
