import { z } from 'zod';
import type { KnownFields } from '#resources/issues.ts';
import { fieldsAt } from '#resources/schema-fields.ts';
import { createTrpcRouter, procedureBase } from './context.ts';
import type { ApiDeps } from './context.ts';
import { createOpenSlots } from './open-slots.ts';
import { apply, applyAll, applyAllInput, applyInput, patch, patchInput } from './procedures/apply.ts';
import { listDecisions, listDecisionsInput, resolveDecision, resolveInput } from './procedures/decisions.ts';
import { events, explain, history, historyInput, passes, tree } from './procedures/history.ts';
import { createKey, createKeyInput, keyIdInput, listKeys, listKeysInput } from './procedures/keys.ts';
import { revokeKey, rotateKey, rotateKeyInput } from './procedures/keys.ts';
import { kindSchema, listKinds, schemaInput } from './procedures/kinds.ts';
import {
  cancelOperation,
  cancelOperationInput,
  getOperation,
  listOperations,
  listOperationsInput,
  operationInput,
} from './procedures/operations.ts';
import { plan, planInput } from './procedures/plan.ts';
import { freeze, freezeInput, listProviders, thaw, thawInput } from './procedures/providers.ts';
import { get, getInput, list, listInput } from './procedures/read.ts';
import { deleteInput, remove, undelete, undeleteInput } from './procedures/remove.ts';
import {
  createReplay,
  createReplayInput,
  getReplay,
  listReplays,
  listReplaysInput,
  replayIdInput,
  replayWishInput,
  wishReplay,
} from './procedures/replays.ts';
import { verbProcedures } from './procedures/verbs.ts';
import { wait, waitInput } from './procedures/wait.ts';
import { watch, watchInput } from './watch.ts';

const nothing = z.strictObject({}).default({});

/** Every procedure of the API: one line each, and the verbs of the kinds. */
export function createRouter(deps: ApiDeps) {
  const verbs = createTrpcRouter(verbProcedures(deps));
  const fixed = createTrpcRouter({
    resources: resourceProcedures(deps),
    ...adminProcedures(deps),
  });
  return createTrpcRouter({ ...verbs._def.procedures, ...fixed._def.record }) as unknown as typeof fixed;
}

/** What the inputs of a router's procedures may have. */
export function inputFields(router: AppRouter): (procedure: string) => KnownFields {
  const procedures = router._def.procedures as unknown as Readonly<Record<string, { readonly _def: InputDef }>>;
  return (procedure) => (path) => {
    const input = Object.hasOwn(procedures, procedure) ? procedures[procedure]?._def.inputs[0] : undefined;
    return input === undefined ? null : fieldsAt(input, path);
  };
}

interface InputDef {
  readonly inputs: readonly z.ZodType[];
}

/** Whether a procedure is a query, a mutation or a subscription; undefined: there is none of this name. */
export function typesOf(router: AppRouter): (procedure: string) => string | undefined {
  const procedures = router._def.procedures as unknown as Readonly<Record<string, { readonly _def: { type: string } }>>;
  return (procedure) => (Object.hasOwn(procedures, procedure) ? procedures[procedure]?._def.type : undefined);
}

/** The fixed procedures, as types: for the client. */
export type AppRouter = ReturnType<typeof createRouter>;

function resourceProcedures(deps: ApiDeps) {
  const p = procedureBase(deps);
  const { options } = deps;
  return {
    apply: p.input(applyInput).mutation(({ ctx, input }) => apply(deps, ctx, { ...input, input })),
    patch: p.input(patchInput).mutation(({ ctx, input }) => patch(deps, ctx, { ...input, key: input, input })),
    apply_all: p
      .input(applyAllInput(options.manifestsMax))
      .mutation(({ ctx, input }) => applyAll(deps, ctx, { ...input, input })),
    delete: p.input(deleteInput).mutation(({ ctx, input }) => remove(deps, ctx, { ...input, key: input, input })),
    undelete: p.input(undeleteInput).mutation(({ ctx, input }) => undelete(deps, ctx, { ...input, key: input, input })),
    get: p.input(getInput).query(({ ctx, input }) => get(deps, ctx, input)),
    list: p.input(listInput(options).prefault({})).query(({ ctx, input }) => list(deps, ctx, input)),
    wait: waitProcedure(deps),
    watch: watchProcedure(deps),
    plan: p.input(planInput(options.manifestsMax)).query(({ ctx, input }) => plan(deps, ctx, input)),
    explain: p.input(getInput).query(({ ctx, input }) => explain(deps, ctx, input)),
    history: p.input(historyInput).query(({ ctx, input }) => history(deps, ctx, input)),
    passes: p.input(historyInput).query(({ ctx, input }) => passes(deps, ctx, input)),
    events: p.input(historyInput).query(({ ctx, input }) => events(deps, ctx, input)),
    tree: p.input(getInput).query(({ ctx, input }) => tree(deps, ctx, input)),
  };
}

function waitProcedure(deps: ApiDeps) {
  const { options } = deps;
  const { waitsPerTenantMax: perTenant, waitsMax: all } = options;
  const slots = createOpenSlots({ what: 'waits', perKey: perTenant, perTenant, all });
  return procedureBase(deps)
    .input(waitInput(options))
    .query(({ ctx, input, signal }) => wait(deps, ctx, { input, signal, release: slots.take(ctx.principal) }));
}

function watchProcedure(deps: ApiDeps) {
  const { watchesPerKeyMax: perKey, watchesPerTenantMax: perTenant, watchesMax: all } = deps.options;
  const slots = createOpenSlots({ what: 'watches', perKey, perTenant, all });
  return procedureBase(deps)
    .input(watchInput)
    .subscription(async function* ({ ctx, input, signal }) {
      const leave = slots.take(ctx.principal);
      try {
        yield* watch(deps, ctx, { input, signal });
      } finally {
        leave();
      }
    });
}

function adminProcedures(deps: ApiDeps) {
  const p = procedureBase(deps);
  const wish = (of: 'suspend' | 'resume' | 'cancel') =>
    p.input(replayWishInput).mutation(({ ctx, input }) => wishReplay(deps, ctx, { input, wish: of }));
  return {
    kinds: {
      list: p.input(nothing).query(() => listKinds(deps)),
      schema: p.input(schemaInput).query(({ input }) => kindSchema(deps, input)),
    },
    replays: {
      create: p.input(createReplayInput).mutation(({ ctx, input }) => createReplay(deps, ctx, input)),
      get: p.input(replayIdInput).query(({ ctx, input }) => getReplay(deps, ctx, input)),
      list: p.input(listReplaysInput.prefault({})).query(({ ctx, input }) => listReplays(deps, ctx, input)),
      suspend: wish('suspend'),
      resume: wish('resume'),
      cancel: wish('cancel'),
    },
    providers: {
      list: p.input(nothing).query(({ ctx }) => listProviders(deps, ctx)),
      freeze: p.input(freezeInput).mutation(({ ctx, input }) => freeze(deps, ctx, input)),
      thaw: p.input(thawInput).mutation(({ ctx, input }) => thaw(deps, ctx, input)),
    },
    decisions: {
      list: p.input(listDecisionsInput.prefault({})).query(({ ctx, input }) => listDecisions(deps, ctx, input)),
      resolve: p.input(resolveInput).mutation(({ ctx, input }) => resolveDecision(deps, ctx, input)),
    },
    operations: {
      list: p.input(listOperationsInput).query(({ ctx, input }) => listOperations(deps, ctx, input)),
      get: p.input(operationInput).query(({ ctx, input }) => getOperation(deps, ctx, input)),
      cancel: p.input(cancelOperationInput).mutation(({ ctx, input }) => cancelOperation(deps, ctx, input)),
    },
    keys: {
      create: p.input(createKeyInput).mutation(({ ctx, input }) => createKey(deps, ctx, input)),
      list: p.input(listKeysInput(deps.options).prefault({})).query(({ ctx, input }) => listKeys(deps, ctx, input)),
      rotate: p.input(rotateKeyInput).mutation(({ ctx, input }) => rotateKey(deps, ctx, input)),
      revoke: p.input(keyIdInput).mutation(({ ctx, input }) => revokeKey(deps, ctx, input)),
    },
  };
}
