import { z } from 'zod';

/** A tag of a resource: `value` null matches any value. Keys as Azure compares them, without regard to case. */
export const tagMatchSchema = z.strictObject({
  key: z.string().min(1).max(512),
  value: z.string().max(256).nullable().default(null),
});
export type TagMatch = z.infer<typeof tagMatchSchema>;

/** A subscription's id. */
const subscription = z.string().regex(/^[^/\s]+$/, 'the id of a subscription');
/** A management group's id, which is not its display name. */
const managementGroup = z.string().regex(/^[^/\s]+$/, 'the id of a management group');
/** `name`, in each subscription that the installation protects, or `subscription/name`. */
const resourceGroup = z
  .string()
  .regex(/^([^/]+\/)?[^/]+$/, 'the name of a resource group, or subscription/name');
/**
 * ARM id, vmId, `subscription/group/name`, or the name alone: then each machine of that name in the subscriptions that the
 * installation protects.
 */
const machine = z
  .string()
  .regex(
    /^([^/]+|[^/]+\/[^/]+\/[^/]+|\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Compute\/virtualMachines\/[^/]+)$/i,
    'the ARM id of a machine, its vmId, subscription/group/name, or its name',
  );

/** Machines for which everything that it says is true. Where it names no subscription: of those that the installation protects. */
export const conditionSchema = z
  .strictObject({
    name: z.string().min(1).max(100),
    /** Of any subscription below it, at any level. */
    managementGroup: managementGroup.optional(),
    subscription: subscription.optional(),
    resourceGroup: resourceGroup.optional(),
    region: z.string().min(1).optional(),
    tags: z.array(tagMatchSchema).default([]),
  })
  .refine(
    ({ tags, managementGroup, subscription, resourceGroup, region }) =>
      tags.length > 0 ||
      [managementGroup, subscription, resourceGroup, region].some((place) => place !== undefined),
    'a condition wants a management group, a subscription, a resource group, a region or a tag',
  );
export type Condition = z.infer<typeof conditionSchema>;

/** Disks for which everything that it says is true. */
export const diskMatchSchema = z
  .strictObject({
    /** Of this machine only. */
    machine: machine.optional(),
    role: z.enum(['os', 'data']).optional(),
    lun: z.number().int().min(0).max(63).optional(),
    /** Without regard to case; `*` stands for anything. */
    name: z.string().min(1).optional(),
    tag: tagMatchSchema.optional(),
    largerThanGiB: z.number().positive().optional(),
  })
  .refine(
    (match) => Object.values(match).some((value) => value !== undefined),
    'says nothing about the disk',
  );
export type DiskMatch = z.infer<typeof diskMatchSchema>;

/** Which machines a policy protects: those that any of the lists names, less the exclusions, which always win. */
export const scopeSchema = z.strictObject({
  /** Every machine of every subscription that the installation protects. */
  all: z.boolean().default(false),
  /** Every machine of every subscription below, at any level. */
  managementGroups: z.array(managementGroup).default([]),
  subscriptions: z.array(subscription).default([]),
  resourceGroups: z.array(resourceGroup).default([]),
  /** In the subscriptions that the installation protects. */
  tags: z.array(tagMatchSchema).default([]),
  machines: z.array(machine).default([]),
  conditions: z.array(conditionSchema).default([]),
  /** Only machines in these regions; none named: in any. */
  regions: z.array(z.string().min(1)).default([]),
  /** Of each machine only the disks that match any of these; none named: every disk. */
  disks: z.array(diskMatchSchema).default([]),
  exclude: z
    .strictObject({
      machines: z.array(machine).default([]),
      tags: z.array(tagMatchSchema).default([]),
      disks: z.array(diskMatchSchema).default([]),
    })
    .prefault({}),
});
export type Scope = z.infer<typeof scopeSchema>;
