import { describe, expect, it } from 'vitest';
import { conditionHolds, isConditionValid } from './condition.ts';

const object = (name: string) => ({
  resourceName: `projects/_/buckets/b/objects/${name}`,
  resourceType: 'storage.googleapis.com/Object',
  nowMs: Date.UTC(2026, 10, 20),
});

describe('IAM conditions', () => {
  it.each([
    ['resource.name.startsWith("projects/_/buckets/b/objects/backups/")', 'backups/x', true],
    ['!resource.name.startsWith("projects/_/buckets/b/objects/backups/")', 'backups/x', false],
    ['!resource.name.startsWith("projects/_/buckets/b/objects/backups/")', 'uploads/x', true],
    ["resource.name == 'projects/_/buckets/b/objects/a' || resource.name.endsWith('.png')", 'c.png', true],
    ["resource.type == 'storage.googleapis.com/Bucket'", 'a', false],
    ["resource.type != 'storage.googleapis.com/Bucket' && resource.service == 'storage.googleapis.com'", 'a', true],
    ["!(resource.name.endsWith('a') || resource.name.endsWith('b')) && resource.name.endsWith('c')", 'c', true],
    ["request.time < timestamp('2026-11-21T00:00:00Z')", 'a', true],
    ["request.time >= timestamp('2026-11-21T00:00:00Z')", 'a', false],
    ["resource.name.endsWith('a\\'b')", "a'b", true],
  ])('%s for %s is %s', (expression, name, expected) => {
    expect(isConditionValid(expression)).toBe(true);
    expect(conditionHolds(expression, object(name))).toBe(expected);
  });

  it.each([
    '',
    'true',
    'resource.name',
    'resource.colour == "red"',
    'resource.name.startsWith(',
    '(resource.name == "a"',
    'resource.name == "a" &&',
    'request.time < "x"',
    'a; b',
    '('.repeat(5_000),
  ])('refuses %j and grants nothing by it', (expression) => {
    expect(isConditionValid(expression)).toBe(false);
    expect(conditionHolds(expression, object('a'))).toBe(false);
  });
});
