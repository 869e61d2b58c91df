import type { BindingView, PolicyView } from '#reconcilers/providers/gcs/replies.ts';

/** Who may read a bucket without an account: the part of its policy that we manage. All other bindings stay as they are. Pure. */

const readerRole = 'roles/storage.objectViewer';
const publicMembers: ReadonlySet<string> = new Set(['allUsers', 'allAuthenticatedUsers']);

/** What a policy gives to the public. */
export interface Exposure {
  /** allUsers may read, without a condition. */
  readonly reads: boolean;
  /** Bindings of the public beyond that, e.g. "roles/storage.admin allUsers"; sorted. */
  readonly beyond: readonly string[];
}

/** What a policy gives to the public, where `publicRead` says what it should. */
export function exposureOf(policy: PolicyView, publicRead: boolean): Exposure {
  const grants = policy.bindings.flatMap((binding) =>
    binding.members.filter((member) => publicMembers.has(member)).map((member) => ({ binding, member })),
  );
  const beyond = grants
    .filter(({ binding, member }) => !(publicRead && isReading(binding, member)))
    .map(({ binding, member }) => `${binding.role} ${member}`);
  return {
    reads: grants.some(({ binding, member }) => isReading(binding, member)),
    beyond: [...new Set(beyond)].sort(),
  };
}

function isReading(binding: BindingView, member: string): boolean {
  return binding.role === readerRole && member === 'allUsers' && binding.condition === null;
}

/** The policy with exactly the declared public reading; its etag stays, to guard the write. */
export function exposedAs(policy: PolicyView, publicRead: boolean): PolicyView {
  const kept = policy.bindings
    .map((binding) => ({
      ...binding,
      members: binding.members.filter(
        (member) => !publicMembers.has(member) || (publicRead && isReading(binding, member)),
      ),
    }))
    .filter((binding) => binding.members.length > 0);
  const reads = kept.some((binding) => binding.members.includes('allUsers'));
  const reading: BindingView = { role: readerRole, members: ['allUsers'], condition: null };
  return { etag: policy.etag, bindings: publicRead && !reads ? [...kept, reading] : kept };
}

/** The policy without the public's grants beyond declared reading; grants nothing new. */
export function concealed(policy: PolicyView, publicRead: boolean): PolicyView {
  const reads = exposureOf(policy, publicRead).reads;
  return exposedAs(policy, publicRead && reads);
}
