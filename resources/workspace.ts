import { z } from 'zod';
import { defineKind } from './kind.ts';
import { checkWorkspaceSlug } from './name-rules.ts';

/** Longest undo window: 30 days. */
const undoWindowHoursMax = 720;
const line = z.string().trim().min(1).max(200);

/** Who answers for the workspace: default contact of what is registered in its name. */
const contact = z.strictObject({
  name: line,
  email: z.email().max(254),
  organization: line.optional(),
  phone: z
    .string()
    .regex(/^\+[1-9]\d{6,14}$/)
    .optional()
    .describe('E.164, e.g. +15145550100'),
  address: z
    .strictObject({
      street: line,
      city: line,
      region: line,
      postalCode: z.string().trim().min(1).max(16),
      country: z
        .string()
        .regex(/^[A-Z]{2}$/)
        .describe('ISO 3166-1 alpha-2, e.g. CA'),
    })
    .optional(),
});

/**
 * The tenant: named by its own slug, declared with a platform key, needed by every other row of it. It has no provider yet: identity,
 * storage, logs and project come with the kinds that use them.
 */
export const workspace = defineKind({
  name: 'Workspace',
  plural: 'workspaces',
  area: 'workspaces',
  platformOnly: true,
  protectedByDefault: true,
  spec: {
    displayName: z.string().trim().max(100).default(''),
    contact: contact.nullable().default(null),
    dnsProvider: z.enum(['cloud_dns', 'dzone']).default('cloud_dns').describe('Where zones of new domains are kept.'),
    undoWindowHours: z
      .int()
      .min(0)
      .max(undoWindowHoursMax)
      .default(72)
      .describe('Hours after a delete in which undelete is possible and no data is destroyed.'),
  },
  status: { slug: z.string().optional() },
  conditions: [],
  checkName: checkWorkspaceSlug,
  outputs: (status) => ({ slug: status['slug'] ?? null }),
});
