// Errors of Cloud Storage, in the JSON API's form and in the XML API's.

import type { CloudResponse } from '#hack/cloud/door.ts';

/** A refusal as the provider words it. `reason` is errors[0].reason of the JSON API. */
export class GcsError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly location: string | undefined;
  /** Code of the XML form, where it does not follow from the reason. */
  readonly xmlCode: string | undefined;
  /** Further elements of the XML form. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(error: {
    status: number;
    reason: string;
    message: string;
    location?: string;
    xmlCode?: string;
    fields?: Record<string, string>;
  }) {
    super(error.message);
    this.name = 'GcsError';
    this.status = error.status;
    this.reason = error.reason;
    this.location = error.location;
    this.xmlCode = error.xmlCode;
    this.fields = error.fields ?? {};
  }
}

export const invalid = (message: string): GcsError =>
  new GcsError({ status: 400, reason: 'invalid', message, xmlCode: 'InvalidArgument' });

export const required = (parameter: string): GcsError =>
  new GcsError({
    status: 400,
    reason: 'required',
    message: `Required parameter: ${parameter}`,
    location: parameter,
    xmlCode: 'InvalidArgument',
  });

export const bucketMissing = (): GcsError =>
  new GcsError({
    status: 404,
    reason: 'notFound',
    message: 'The specified bucket does not exist.',
    xmlCode: 'NoSuchBucket',
  });

export const objectMissing = (bucket: string, object: string): GcsError =>
  new GcsError({
    status: 404,
    reason: 'notFound',
    message: `No such object: ${bucket}/${object}`,
    xmlCode: 'NoSuchKey',
  });

export const forbidden = (message: string): GcsError =>
  new GcsError({ status: 403, reason: 'forbidden', message, xmlCode: 'AccessDenied' });

/** 401: no caller, or one that nobody knows. */
export const unauthenticated = (message: string): GcsError =>
  new GcsError({ status: 401, reason: 'required', message, location: 'Authorization', xmlCode: 'AccessDenied' });

export const conditionNotMet = (message = 'At least one of the pre-conditions you specified did not hold.'): GcsError =>
  new GcsError({
    status: 412,
    reason: 'conditionNotMet',
    message,
    location: 'If-Match',
    xmlCode: 'PreconditionFailed',
  });

export const notModified = (): GcsError =>
  new GcsError({ status: 304, reason: 'notModified', message: 'Not Modified', location: 'If-None-Match' });

export const conflict = (message: string, xmlCode = 'BucketAlreadyExists'): GcsError =>
  new GcsError({ status: 409, reason: 'conflict', message, xmlCode });

export const tooManyRequests = (message: string): GcsError =>
  new GcsError({ status: 429, reason: 'rateLimitExceeded', message, xmlCode: 'SlowDown' });

export const ACCESS_LISTS = 'access control lists; use uniform bucket-level access';

/** 501: the provider has it, this cloud does not. Better than an answer that looks like the thing asked for being missing. */
export const notModelled = (what: string): GcsError =>
  new GcsError({
    status: 501,
    reason: 'notImplemented',
    message: `The local cloud does not model ${what}.`,
    xmlCode: 'NotImplemented',
  });

export const unavailable = (): GcsError =>
  new GcsError({
    status: 503,
    reason: 'backendError',
    message: 'We encountered an internal error. Please try again.',
    xmlCode: 'ServiceUnavailable',
  });

/** The error as the JSON API answers it. 304 has no body. */
export function jsonError(error: GcsError): CloudResponse {
  if (error.status === 304) return { status: 304, headers: {} };
  const detail = {
    message: error.message,
    domain: error.status === 429 ? 'usageLimits' : 'global',
    reason: error.reason,
    ...(error.location === undefined ? {} : { locationType: locationType(error.location), location: error.location }),
  };
  return {
    status: error.status,
    headers: {},
    body: { error: { code: error.status, message: error.message, errors: [detail] } },
  };
}

function locationType(location: string): string {
  return location === 'Authorization' || location.startsWith('If-') ? 'header' : 'parameter';
}

const XML_MESSAGES: Readonly<Record<string, string>> = {
  AccessDenied: 'Access denied.',
  NoSuchKey: 'The specified key does not exist.',
  NoSuchBucket: 'The specified bucket does not exist.',
  InvalidArgument: 'Invalid argument.',
  MalformedSecurityHeader: 'Your request has a malformed header.',
  ExpiredToken: 'The provided token has expired.',
  SignatureDoesNotMatch:
    'The request signature we calculated does not match the signature you provided. Check your Google secret key and signing method.',
  EntityTooLarge: 'Your proposed upload is larger than the maximum object size specified in your Policy Document.',
  EntityTooSmall: 'Your proposed upload is smaller than the minimum object size specified in your Policy Document.',
  PreconditionFailed: 'At least one of the pre-conditions you specified did not hold.',
};

/** The error as the XML API answers it. */
export function xmlError(error: GcsError): CloudResponse {
  if (error.status === 304) return { status: 304, headers: {} };
  const code = error.xmlCode ?? 'InternalError';
  const message = XML_MESSAGES[code];
  const details = message === undefined || message === error.message ? {} : { Details: error.message };
  const elements = { Code: code, Message: message ?? error.message, ...error.fields, ...details };
  // The XML API answers an anonymous caller with 403 where the JSON API says 401.
  const status = code === 'AccessDenied' ? 403 : error.status;
  const xml = `<?xml version='1.0' encoding='UTF-8'?>${element('Error', elements)}`;
  return { status, headers: { 'content-type': 'application/xml; charset=UTF-8' }, body: Buffer.from(xml) };
}

/** An XML element with text children, in order. */
export function element(name: string, children: Readonly<Record<string, string>>): string {
  const inner = Object.entries(children).map(([child, text]) => `<${child}>${escapeXml(text)}</${child}>`);
  return `<${name}>${inner.join('')}</${name}>`;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
