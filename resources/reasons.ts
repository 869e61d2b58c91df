import type { Actor, ReasonClass } from './condition.ts';
import type { Kind } from './kind.ts';

/** Reasons that the engine itself gives, by class (conditions.md, Reasons). Kinds add their own in `Kind.reasons`. */
const byClass: Readonly<Record<ReasonClass, readonly string[]>> = {
  none: ['Available', 'Current', 'Resolved'],
  progress: [
    'NotYetReconciled',
    'AwaitingExternal',
    'Creating',
    'Updating',
    'Replacing',
    'Deleting',
    'Verifying',
    'WaitingForProvider',
    'WaitingForPropagation',
    'BackingOff',
    'Queued',
  ],
  dependency: ['DependencyNotFound', 'DependencyNotReady', 'DependencyFailed', 'DependencyDeleting', 'OutputMissing'],
  spec: ['SpecInvalid', 'ImmutableFieldChanged', 'UnsupportedByProvider', 'NameNotAllowed', 'ResidencyViolation'],
  credential: ['AuthenticationFailed', 'PermissionDenied', 'CredentialExpired'],
  quota: ['RateLimited', 'ProviderQuotaExceeded', 'TenantQuotaExceeded'],
  provider: [
    'ProviderUnavailable',
    'ProviderTimeout',
    'ProviderConflict',
    'ProviderRejected',
    'ProviderErrorUnclassified',
  ],
  ownership: ['AlreadyExistsUnowned', 'NameTaken', 'OwnershipMarkMissing'],
  unknown: [
    'CreateOutcomeUnknown',
    'UpdateOutcomeUnknown',
    'DeleteOutcomeUnknown',
    'PurchaseOutcomeUnknown',
    'SendOutcomeUnknown',
    'NeedsDecision',
  ],
  money: [
    'ApprovalRequired',
    'InsufficientFunds',
    'BudgetExceeded',
    'PriceChanged',
    'RateMissing',
    'RegistrarBalanceLow',
  ],
  drift: ['DriftDetected', 'DriftLoop', 'DeletedOutside'],
  admin: [
    'SuspendedByUser',
    'ProviderFrozen',
    'NotEmpty',
    'DeletionProtected',
    'HasDependents',
    'DestructionBudgetExhausted',
    'InUndoWindow',
    'RetentionUntil',
    'ConfirmationMismatch',
  ],
  backup: [
    'ScheduleMissed',
    'UploadMissing',
    'ChecksumMismatch',
    'RestoreCheckFailed',
    'RecoveryPointTooOld',
    'DumpToolMissing',
    'MoverMissing',
    'NotSampled',
  ],
  internal: ['InternalError', 'InvariantViolated', 'DeadlineExceeded'],
};

const classes = new Map<string, ReasonClass>(
  Object.entries(byClass).flatMap(([name, reasons]) => reasons.map((reason) => [reason, name as ReasonClass] as const)),
);

/** Every reason of the engine, sorted, with its class. */
export const engineReasons: readonly { readonly reason: string; readonly class: ReasonClass }[] = [...classes]
  .map(([reason, name]) => ({ reason, class: name }))
  .sort((a, b) => (a.reason < b.reason ? -1 : 1));

/** The one class of a reason: the engine's, else the kind's; an unregistered reason is `internal`, so that it is noticed. */
export function classOf(reason: string, kind?: Kind): ReasonClass {
  return classes.get(reason) ?? kind?.reasons.find((spec) => spec.reason === reason)?.class ?? 'internal';
}

const actorOfReason: Readonly<Record<string, Actor>> = {
  AwaitingExternal: 'provider',
  WaitingForProvider: 'provider',
  WaitingForPropagation: 'provider',
  DependencyNotFound: 'declarer',
  DependencyDeleting: 'declarer',
  TenantQuotaExceeded: 'operator',
  ProviderQuotaExceeded: 'operator',
  ProviderRejected: 'declarer',
  NeedsDecision: 'operator',
  ApprovalRequired: 'approver',
  RegistrarBalanceLow: 'operator',
  RateMissing: 'operator',
  DriftLoop: 'operator',
  DeletedOutside: 'declarer',
  ProviderFrozen: 'operator',
  DestructionBudgetExhausted: 'approver',
  InUndoWindow: 'system',
  RetentionUntil: 'system',
};

const actorOfClass: Readonly<Record<ReasonClass, Actor>> = {
  none: 'system',
  progress: 'system',
  dependency: 'system',
  spec: 'declarer',
  credential: 'operator',
  quota: 'system',
  provider: 'provider',
  ownership: 'declarer',
  money: 'declarer',
  drift: 'system',
  admin: 'declarer',
  backup: 'operator',
  unknown: 'system',
  internal: 'operator',
};

/** Who must act next. */
export function actorOf(reason: string, kind?: Kind): Actor {
  return actorOfReason[reason] ?? actorOfClass[classOf(reason, kind)];
}
