/** A workspace slug: no hyphen, so that prefixes of external names cannot collide; 3 to 22 characters, so that account ids fit. */
export const workspacePattern = /^[a-z][a-z0-9]{2,21}$/;

/** A resource name, unless its kind has a rule of its own: a DNS label of at most 32 characters. */
export const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
export const nameCharsMax = 32;

/** What stands in the way of a workspace slug, or null. */
export function checkWorkspaceSlug(slug: string): string | null {
  return workspacePattern.test(slug)
    ? null
    : 'A workspace slug is 3 to 22 characters: a lower-case letter, then lower-case letters and digits.';
}

/** What stands in the way of a resource name, or null. */
export function checkName(name: string): string | null {
  if (name.length > nameCharsMax) return `A name has at most ${nameCharsMax} characters.`;
  if (!namePattern.test(name))
    return 'A name is lower-case letters, digits and hyphens, and starts and ends with a letter or digit.';
  return null;
}
