/**
 * The conditions of table alias `r` as resources/conditions.ts projects them, in SQL: while the generation is newer than the observed one,
 * Ready is Unknown and Reconciling True, both NotYetReconciled, and Stalled is left out. For selections; what is shown is projected in
 * TypeScript. `test/database/projection.test.ts` compares the two.
 */
export const conditionMatches = (wanted: string): string => `
case
  when r.generation > r.observed_generation and ${wanted} ->> 'type' in ('Ready', 'Reconciling', 'Stalled') then
    '[{"type": "Ready", "status": "Unknown", "reason": "NotYetReconciled"},
      {"type": "Reconciling", "status": "True", "reason": "NotYetReconciled"}]'::jsonb @> jsonb_build_array(${wanted})
  else r.conditions @> jsonb_build_array(${wanted})
end`;
