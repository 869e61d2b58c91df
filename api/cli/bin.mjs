#!/usr/bin/env node
// The command `vibn`, for an outer Node from 20 on: runs the TypeScript as it is with the project's own Node.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const own = join(import.meta.dirname ?? '.', '..', '..', 'node_modules', '.bin', 'node');
const node = existsSync(own) ? own : process.execPath;
const script = join(import.meta.dirname ?? '.', 'main.ts');
const { status } = spawnSync(node, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exitCode = status ?? 1;
