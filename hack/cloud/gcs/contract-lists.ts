// The contract on lists of objects: pages, folders, versions, offsets, and what is soft-deleted.

import assert from 'node:assert/strict';
import type { Bucket, File, GetFilesOptions } from '@google-cloud/storage';
import { field, refused, withBucket, type ContractCase, type ContractTarget, type Scene } from './contract-kit.ts';

const versioned = { versioning: { enabled: true } };
const softDeleting = { softDeletePolicy: { retentionDurationSeconds: '604800' } };

export function listCases(target: ContractTarget): ContractCase[] {
  return [
    withBucket(target, 'files are listed in order over several pages, and folders by delimiter', {
      play: listing,
      needs: ['list-pages'],
    }),
    withBucket(target, 'folders and files count together in a page, and nothing is listed twice or left out', {
      play: foldersInPages,
      needs: ['list-pages'],
    }),
    withBucket(target, 'a list begins at startOffset, ends before endOffset and stays under its prefix', {
      play: offsets,
      needs: ['list-offsets'],
    }),
    withBucket(target, 'an object named like its folder is listed too if includeTrailingDelimiter asks for it', {
      play: trailing,
      needs: ['list-offsets'],
    }),
    withBucket(target, 'deleteFiles with versions empties a versioned bucket so that it can be deleted', {
      play: emptyVersioned,
      needs: ['versions', 'bucket-emptiness'],
      wishes: versioned,
    }),
    withBucket(target, 'versions are listed oldest first, page by page, under prefix and delimiter', {
      play: versionPages,
      needs: ['versions', 'list-pages'],
      wishes: versioned,
    }),
    withBucket(target, 'a noncurrent version can be deleted alone, and be made live again by a copy', {
      play: oneVersion,
      needs: ['versions', 'copies'],
      wishes: versioned,
    }),
    withBucket(target, 'a soft-deleted object can be restored, as a new generation with its bytes and metadata', {
      play: softDelete,
      needs: ['soft-delete'],
      wishes: softDeleting,
    }),
    withBucket(target, 'soft-deleted objects are listed apart, by prefix, each generation by itself', {
      play: softDeletedLists,
      needs: ['soft-delete'],
      wishes: softDeleting,
    }),
  ];
}

const write = (bucket: Bucket, name: string, content = 'x'): Promise<void> =>
  bucket.file(name).save(content, { resumable: false });

async function generationOf(file: File): Promise<string> {
  return String((await file.getMetadata())[0].generation);
}

/** All pages of a list, each as its files' names and its folders. */
async function pagesOf(bucket: Bucket, query: GetFilesOptions): Promise<{ names: string[]; folders: string[] }[]> {
  const pages = [];
  let next: GetFilesOptions | null = { autoPaginate: false, ...query };
  while (next !== null) {
    const answer: [File[], object | null, unknown] = await bucket.getFiles(next);
    const folders = (field(answer[2] as object, 'prefixes') ?? []) as string[];
    pages.push({ names: answer[0].map((file) => file.name), folders });
    next = answer[1];
    assert.ok(pages.length < 50, 'the pages of a list must end');
  }
  return pages;
}

async function listing({ bucket }: Scene): Promise<void> {
  for (const name of ['b/2', 'a', 'b/1', 'c']) await write(bucket, name);
  const [all] = await bucket.getFiles();
  assert.deepEqual(
    all.map((file) => file.name),
    ['a', 'b/1', 'b/2', 'c'],
  );
  const [page, next] = await bucket.getFiles({ maxResults: 3, autoPaginate: false });
  assert.equal(page.length, 3);
  const [rest, end] = await bucket.getFiles(next ?? {});
  assert.deepEqual([rest.map((file) => file.name), end], [['c'], null]);
  const [top, , answer] = await bucket.getFiles({ delimiter: '/', autoPaginate: false });
  assert.deepEqual(
    top.map((file) => file.name),
    ['a', 'c'],
  );
  assert.deepEqual(field(answer as object, 'prefixes'), ['b/']);
}

async function foldersInPages({ bucket }: Scene): Promise<void> {
  for (const name of ['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/4', 'f']) await write(bucket, name);
  const pages = await pagesOf(bucket, { delimiter: '/', maxResults: 2 });
  assert.ok(pages.every(({ names, folders }) => names.length + folders.length <= 2));
  assert.deepEqual(
    pages.flatMap((page) => page.names),
    ['a', 'd', 'f'],
  );
  assert.deepEqual(
    pages.flatMap((page) => page.folders),
    ['b/', 'e/'],
  );
  const inner = await pagesOf(bucket, { prefix: 'b/', delimiter: '/' });
  assert.deepEqual(inner, [{ names: ['b/1', 'b/2'], folders: ['b/c/'] }]);
}

async function offsets({ bucket }: Scene): Promise<void> {
  for (const name of ['a', 'b/1', 'b/2', 'b/3', 'c']) await write(bucket, name);
  const names = async (query: GetFilesOptions): Promise<string[]> =>
    (await bucket.getFiles(query))[0].map((file) => file.name);
  assert.deepEqual(await names({ startOffset: 'b/2' }), ['b/2', 'b/3', 'c']);
  assert.deepEqual(await names({ endOffset: 'b/2' }), ['a', 'b/1']);
  assert.deepEqual(await names({ prefix: 'b/', startOffset: 'a', endOffset: 'b/3' }), ['b/1', 'b/2']);
  assert.deepEqual(await names({ startOffset: 'd' }), []);
}

async function trailing({ bucket }: Scene): Promise<void> {
  for (const name of ['d/', 'd/1', 'e']) await write(bucket, name);
  const plain = await pagesOf(bucket, { delimiter: '/' });
  assert.deepEqual(plain, [{ names: ['e'], folders: ['d/'] }]);
  const both = await pagesOf(bucket, { delimiter: '/', includeTrailingDelimiter: true });
  assert.deepEqual(both, [{ names: ['d/', 'e'], folders: ['d/'] }]);
}

async function emptyVersioned({ bucket }: Scene): Promise<void> {
  for (const content of ['1', '2', '3']) await write(bucket, 'v', content);
  await bucket.file('v').delete();
  const [live] = await bucket.getFiles();
  assert.equal(live.length, 0);
  await refused(bucket.delete(), 409);
  await bucket.deleteFiles({ force: true, versions: true });
  await bucket.delete();
}

async function versionPages({ bucket }: Scene): Promise<void> {
  for (const content of ['1', '2', '3']) await write(bucket, 'v/a', content);
  await write(bucket, 'v/b');
  await write(bucket, 'w');
  const generations: string[] = [];
  let next: GetFilesOptions | null = { versions: true, prefix: 'v/', maxResults: 1, autoPaginate: false };
  while (next !== null) {
    const answer: [File[], object | null, unknown] = await bucket.getFiles(next);
    assert.ok(answer[0].length <= 1);
    generations.push(...answer[0].map((file) => `${file.name} ${String(file.metadata.generation)}`));
    next = answer[1];
    assert.ok(generations.length < 50, 'the pages of a list must end');
  }
  assert.equal(generations.length, 4);
  assert.deepEqual(generations, generations.toSorted());
  const folded = await pagesOf(bucket, { versions: true, delimiter: '/' });
  assert.deepEqual(folded, [{ names: ['w'], folders: ['v/'] }]);
}

async function oneVersion({ bucket }: Scene): Promise<void> {
  const file = bucket.file('v');
  await write(bucket, 'v', 'one');
  const first = await generationOf(file);
  await write(bucket, 'v', 'two');
  const second = await generationOf(file);
  await bucket.file('v', { generation: first }).copy(bucket.file('v'));
  assert.equal((await file.download())[0].toString(), 'one');
  assert.notEqual(await generationOf(file), first);
  await bucket.file('v', { generation: second }).delete();
  await refused(bucket.file('v', { generation: second }).getMetadata(), 404);
  assert.equal((await bucket.file('v', { generation: first }).download())[0].toString(), 'one');
}

async function softDelete({ bucket }: Scene): Promise<void> {
  const file = bucket.file('back');
  await file.save('again', { resumable: false, metadata: { contentType: 'text/x-kept', metadata: { k: 'v' } } });
  const generation = await generationOf(file);
  await file.delete();
  await refused(file.getMetadata(), 404);
  const [deleted] = await bucket.getFiles({ softDeleted: true });
  assert.equal(String(deleted[0]?.metadata.generation), generation);
  await refused(file.restore({ generation: 7 }), 404);
  await file.restore({ generation: Number(generation) });
  assert.equal((await file.download())[0].toString(), 'again');
  const [restored] = await bucket.file('back').getMetadata();
  assert.notEqual(String(restored.generation), generation);
  assert.deepEqual([restored.contentType, restored.metadata?.['k']], ['text/x-kept', 'v']);
  const [left] = await bucket.getFiles({ softDeleted: true });
  assert.equal(left.length, 0);
}

async function softDeletedLists({ bucket }: Scene): Promise<void> {
  for (const name of ['a/1', 'a/1', 'b/1']) {
    await write(bucket, name);
    await bucket.file(name).delete();
  }
  await write(bucket, 'a/live');
  const [all] = await bucket.getFiles({ softDeleted: true, prefix: 'a/' });
  assert.deepEqual(
    all.map((file) => file.name),
    ['a/1', 'a/1'],
  );
  assert.equal(new Set(all.map((file) => String(file.metadata.generation))).size, 2);
  assert.ok(
    all.every((file) => file.metadata.softDeleteTime !== undefined && file.metadata.hardDeleteTime !== undefined),
  );
  const [live] = await bucket.getFiles();
  assert.deepEqual(
    live.map((file) => file.name),
    ['a/live'],
  );
}
