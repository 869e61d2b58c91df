/** A workspace slug: no hyphen, so that prefixes of external names cannot collide; 3 to 22 characters, so that account ids fit. */
export const workspacePattern = /^[a-z][a-z0-9]{2,21}$/;

/** A resource name, unless its kind has a rule of its own: a DNS label of at most 32 characters. */
export const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
export const nameCharsMax = 32;

/**
 * Cloud Storage refuses names that contain "google" or look like it (g00gle, goog1e); names of ours become part of bucket names, so all
 * doors refuse them at once. A leading "goog" is refused too: it is reserved wherever a name could come first.
 */
export function resemblesGoogle(name: string): boolean {
  const plain = name.toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l').replaceAll('3', 'e');
  return plain.startsWith('goog') || plain.replaceAll('-', '').includes('google');
}

const googleProblem =
  'A name does not start with "goog" and has nothing like "google" in it: the provider refuses that.';

/** What stands in the way of a workspace slug, or null. */
export function checkWorkspaceSlug(slug: string): string | null {
  if (resemblesGoogle(slug)) return googleProblem;
  return workspacePattern.test(slug)
    ? null
    : 'A workspace slug is 3 to 22 characters: a lower-case letter, then lower-case letters and digits.';
}

/** What stands in the way of a resource name, or null. */
export function checkName(name: string): string | null {
  if (name.length > nameCharsMax) return `A name has at most ${nameCharsMax} characters.`;
  if (!namePattern.test(name))
    return 'A name is lower-case letters, digits and hyphens, and starts and ends with a letter or digit.';
  if (resemblesGoogle(name)) return googleProblem;
  return null;
}
