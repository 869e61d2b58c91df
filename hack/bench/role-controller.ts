import { machineMs } from '#hack/role-process.ts';
import { serveParent, tellParent } from './child.ts';
import type { RoleInput } from './child.ts';
import { composeEngine } from './engine-run.ts';
import { benchReconcilers, probePrefix } from './noop-kind.ts';

/** The role controller in a child process, composed as controller/main.ts does, over the no-op kind. */
export async function runController({ url }: RoleInput): Promise<void> {
  const onCall = (name: string): void => {
    if (name.startsWith(probePrefix)) tellParent({ event: 'call', name, at: machineMs() });
  };
  const engine = composeEngine({ url, reconcilers: benchReconcilers({ changing: false, onCall }) });
  serveParent({ open: () => 0, stop: engine.stop });
  await engine.start();
  tellParent({ event: 'ready', port: 0 });
}
