// Which permissions the storage roles carry (IAM roles reference for Cloud Storage), as far as this cloud checks them.

const OBJECT_READ = ['storage.objects.get', 'storage.objects.list'];
const OBJECT_ALL = [
  ...OBJECT_READ,
  'storage.objects.create',
  'storage.objects.delete',
  'storage.objects.update',
  'storage.objects.restore',
  'storage.objects.setRetention',
  'storage.objects.overrideUnlockedRetention',
  'storage.multipartUploads.create',
  'storage.multipartUploads.abort',
  'storage.multipartUploads.list',
  'storage.multipartUploads.listParts',
];
const BUCKET_ALL = [
  'storage.buckets.create',
  'storage.buckets.delete',
  'storage.buckets.enableObjectRetention',
  'storage.buckets.get',
  'storage.buckets.getIamPolicy',
  'storage.buckets.list',
  'storage.buckets.restore',
  'storage.buckets.setIamPolicy',
  'storage.buckets.update',
];
const HMAC_ALL = [
  'storage.hmacKeys.create',
  'storage.hmacKeys.delete',
  'storage.hmacKeys.get',
  'storage.hmacKeys.list',
  'storage.hmacKeys.update',
];
const EVERYTHING = [...BUCKET_ALL, ...OBJECT_ALL, ...HMAC_ALL];

const ROLE_PERMISSIONS: Readonly<Record<string, readonly string[]>> = {
  'roles/storage.admin': EVERYTHING,
  'roles/storage.objectAdmin': OBJECT_ALL,
  'roles/storage.objectUser': OBJECT_ALL.filter(
    (permission) =>
      permission !== 'storage.objects.setRetention' && permission !== 'storage.objects.overrideUnlockedRetention',
  ),
  'roles/storage.objectCreator': [
    'storage.objects.create',
    'storage.multipartUploads.create',
    'storage.multipartUploads.abort',
    'storage.multipartUploads.listParts',
  ],
  'roles/storage.objectViewer': OBJECT_READ,
  'roles/storage.bucketViewer': ['storage.buckets.get', 'storage.buckets.list'],
  'roles/storage.hmacKeyAdmin': HMAC_ALL,
  'roles/storage.legacyBucketReader': ['storage.buckets.get', 'storage.objects.list', 'storage.multipartUploads.list'],
  'roles/storage.legacyBucketWriter': [
    'storage.buckets.get',
    'storage.objects.create',
    'storage.objects.delete',
    'storage.objects.list',
    'storage.multipartUploads.create',
  ],
  'roles/storage.legacyBucketOwner': [
    'storage.buckets.get',
    'storage.buckets.getIamPolicy',
    'storage.buckets.setIamPolicy',
    'storage.buckets.update',
    'storage.objects.create',
    'storage.objects.delete',
    'storage.objects.list',
    'storage.multipartUploads.create',
  ],
  'roles/storage.legacyObjectReader': ['storage.objects.get'],
  'roles/storage.legacyObjectOwner': ['storage.objects.get', 'storage.objects.update'],
  'roles/owner': EVERYTHING,
  'roles/editor': ['storage.buckets.create', 'storage.buckets.delete', 'storage.buckets.list', ...HMAC_ALL],
  'roles/viewer': ['storage.buckets.list'],
};

/** Whether a set of roles carries the permission. */
export function rolesAllow(roles: readonly string[], permission: string): boolean {
  return roles.some((role) => ROLE_PERMISSIONS[role]?.includes(permission) ?? false);
}

/** Roles that may stand in a bucket's policy: storage roles and custom ones. Basic roles belong to projects. */
export function bucketRoleAllowed(role: string): boolean {
  return (role.startsWith('roles/storage.') && role in ROLE_PERMISSIONS) || isCustomRole(role);
}

/** Roles that may stand in a project's policy: any predefined or custom one, for this cloud knows storage's only. */
export function projectRoleAllowed(role: string): boolean {
  return /^roles\/[\w.]+$/.test(role) || isCustomRole(role);
}

/** Whether a permission exists; asking testPermissions for another is an error. */
export function permissionExists(permission: string): boolean {
  return (
    EVERYTHING.includes(permission) ||
    permission.startsWith('storage.objects.') ||
    permission.startsWith('storage.buckets.')
  );
}

function isCustomRole(role: string): boolean {
  return /^(projects|organizations)\/[\w.:-]+\/roles\/[\w.]+$/.test(role);
}
