// Which names Cloud Storage accepts (bucket naming and object naming pages).

const LABEL = /^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$/;
const IP = /^\d{1,3}(\.\d{1,3}){3}$/;

/** Why a bucket may not have this name; undefined if it may. Dotted names need a verified domain, which nobody has here. */
export function bucketNameProblem(name: string): string | undefined {
  const dotted = name.includes('.');
  if (name.length < 3 || name.length > (dotted ? 222 : 63)) return `Invalid bucket name: '${name}'`;
  const parts = name.split('.');
  if (IP.test(name) || parts.some((part) => part.length > 63 || !LABEL.test(part)))
    return `Invalid bucket name: '${name}'`;
  const plain = name.replaceAll('0', 'o').replaceAll('1', 'l');
  if (name.startsWith('goog') || plain.includes('google')) return `Invalid bucket name: '${name}'`;
  return undefined;
}

/** Names with dots are domain names: allowed only to a verified owner of the domain. */
export function needsDomainProof(name: string): boolean {
  return name.includes('.');
}

/** Why an object may not have this name; undefined if it may. 1,024 bytes of UTF-8, no CR or LF, not "." or "..", no ACME path. */
export function objectNameProblem(name: string): string | undefined {
  if (name === '') return 'Required';
  if (Buffer.byteLength(name) > 1_024) return 'The maximum object length is 1024 characters, but got a name with more.';
  if (
    /[\r\n]/.test(name) ||
    name === '.' ||
    name === '..' ||
    name.startsWith('.well-known/acme-challenge/') ||
    !name.isWellFormed()
  ) {
    return `Disallowed unicode characters present in object name '${name.toWellFormed()}'`;
  }
  return undefined;
}
