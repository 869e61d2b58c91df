/** Postgres of any version in a container: `VIBN_TEST_POSTGRES=container:16`, through testcontainers. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What is used of the package, which is in no lock file: the CI job that needs it installs it. */
interface Testcontainers {
  readonly PostgreSqlContainer: new (image: string) => Container;
}
interface Container {
  withUsername(name: string): Container;
  withPassword(password: string): Container;
  withCommand(command: string[]): Container;
  start(): Promise<{ getConnectionUri(): string; stop(): Promise<unknown> }>;
}

const packageName = '@testcontainers/postgresql';
const packageVersion = '12.2.0';

/** The image that `container:<version>` asks for; null: none is asked for. Throws a RangeError for anything else. */
export function imageNamed(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  const version = /^container:(\d+(?:\.\d+)?)$/.exec(text)?.[1];
  if (version === undefined)
    throw new RangeError(`VIBN_TEST_POSTGRES is ${text}; use container:15 to container:18, or unset it`);
  return `postgres:${version}`;
}

/** Why no container can be had here; null: it can. */
export async function containerMissing(image: string | null): Promise<string | null> {
  if (image === null) return null;
  const docker = await promisify(execFile)('docker', ['info', '--format', '{{.ServerVersion}}']).catch(
    (error: unknown) => error,
  );
  if (docker instanceof Error)
    return `${image} needs Docker, and there is none: ${docker.message.trim().split('\n').at(-1)}`;
  return null;
}

/** Starts a server; its superuser's URL. */
export async function startContainer(
  image: string,
  input: { readonly user: string; readonly password: string; readonly settings: Readonly<Record<string, string>> },
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { PostgreSqlContainer } = await load();
  const flags = Object.entries(input.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const container = await new PostgreSqlContainer(image)
    .withUsername(input.user)
    .withPassword(input.password)
    .withCommand(['postgres', ...flags])
    .start();
  return { url: container.getConnectionUri(), stop: async () => void (await container.stop()) };
}

async function load(): Promise<Testcontainers> {
  try {
    return (await import(packageName)) as Testcontainers;
  } catch (error) {
    throw new Error(`Run npm install --no-save ${packageName}@${packageVersion} first.`, { cause: error });
  }
}
