import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { JsonObject } from '#resources/json.ts';
import { CliError, exitCodes } from './exit.ts';

/** A manifest as it was written, with where it stands. */
export interface ManifestFile {
  readonly manifest: JsonObject;
  readonly workspace: string;
  readonly kind: string;
  readonly name: string;
}

/** Reads manifests from files, directories (*.yaml, *.yml, *.json, sorted) and "-" (stdin). Several documents a file are fine. */
export function readManifests(paths: readonly string[]): ManifestFile[] {
  const found = paths.flatMap(filesOf).flatMap((path) => documentsOf(path));
  if (found.length === 0) throw new CliError(`There is no manifest in ${paths.join(', ')}.`, exitCodes.usage);
  return found;
}

function filesOf(path: string): string[] {
  if (path === '-') return ['/dev/stdin'];
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new CliError(`There is no file ${path}.`, exitCodes.usage);
  if (!stat.isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => /\.(ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

function documentsOf(path: string): ManifestFile[] {
  const documents = parseAllDocuments(readFileSync(path, 'utf8'));
  return documents.flatMap((document, index) => {
    const [error] = document.errors;
    if (error !== undefined) throw new CliError(`${path}, document ${index + 1}: ${error.message}`, exitCodes.usage);
    const value = document.toJS({ maxAliasCount: 100 }) as JsonObject | null;
    return value === null ? [] : [located(value, `${path}, document ${index + 1}`)];
  });
}

function located(manifest: JsonObject, where: string): ManifestFile {
  const metadata = (manifest['metadata'] ?? {}) as JsonObject;
  const [kind, workspace, name] = [manifest['kind'], metadata['workspace'], metadata['name']];
  if (typeof kind === 'string' && typeof workspace === 'string' && typeof name === 'string')
    return { manifest, kind, workspace, name };
  throw new CliError(`${where}: a manifest has kind, metadata.workspace and metadata.name.`, exitCodes.usage);
}

/** Manifests by workspace, in the order they were first named: each group is applied all or nothing. */
export function byWorkspace(manifests: readonly ManifestFile[]): ManifestFile[][] {
  return [...Map.groupBy(manifests, (one) => one.workspace).values()];
}
