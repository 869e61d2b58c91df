// Where a bucket can be (Cloud Storage bucket locations page). Names are compared and answered in upper case.

const REGIONS = new Set(
  (
    'NORTHAMERICA-NORTHEAST1 NORTHAMERICA-NORTHEAST2 NORTHAMERICA-SOUTH1 US-CENTRAL1 US-EAST1 US-EAST4 US-EAST5 US-SOUTH1 US-WEST1 US-WEST2 US-WEST3 US-WEST4 ' +
    'SOUTHAMERICA-EAST1 SOUTHAMERICA-WEST1 EUROPE-CENTRAL2 EUROPE-NORTH1 EUROPE-NORTH2 EUROPE-SOUTHWEST1 EUROPE-WEST1 EUROPE-WEST2 EUROPE-WEST3 EUROPE-WEST4 ' +
    'EUROPE-WEST6 EUROPE-WEST8 EUROPE-WEST9 EUROPE-WEST10 EUROPE-WEST12 ASIA-EAST1 ASIA-EAST2 ASIA-NORTHEAST1 ASIA-NORTHEAST2 ASIA-NORTHEAST3 ASIA-SOUTH1 ' +
    'ASIA-SOUTH2 ASIA-SOUTHEAST1 ASIA-SOUTHEAST2 AUSTRALIA-SOUTHEAST1 AUSTRALIA-SOUTHEAST2 ME-CENTRAL1 ME-CENTRAL2 ME-WEST1 AFRICA-SOUTH1'
  ).split(' '),
);
const DUAL_REGIONS = new Set(['NAM4', 'EUR4', 'EUR5', 'EUR7', 'EUR8', 'ASIA1']);
const MULTI_REGIONS = new Set(['US', 'EU', 'ASIA']);

/** Where a bucket goes that names no location: the provider's default, outside Canada. */
export const DEFAULT_LOCATION = 'US';

export type LocationType = 'region' | 'dual-region' | 'multi-region';

/** The kind of a location given in upper case; undefined if there is no such location. */
export function locationTypeOf(location: string): LocationType | undefined {
  if (REGIONS.has(location)) return 'region';
  if (DUAL_REGIONS.has(location)) return 'dual-region';
  return MULTI_REGIONS.has(location) ? 'multi-region' : undefined;
}
