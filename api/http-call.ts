import { validationError } from '#resources/errors.ts';
import type { ApiError } from '#resources/errors.ts';
import type { Json } from '#resources/json.ts';
import { parseBody } from './limits.ts';
import type { ApiOptions } from './options.ts';

/** One HTTP request as calls: how many, of which procedures, with which input. Nothing is looked up yet. */
export interface HttpCall {
  readonly batch: boolean;
  readonly procedures: readonly string[];
}

/** Longest path: a full batch of the longest names. */
export const pathCharsMax = 4_096;

/** Reads path and query. Throws VALIDATION for a malformed or too large batch, before anything is done for it. */
export function callOf(path: string, query: URLSearchParams, options: Pick<ApiOptions, 'batchMax'>): HttpCall {
  const flag = query.get('batch');
  if (flag !== null && flag !== '1') {
    throw invalid('batch', 'The query parameter "batch" is 1, or left out.', ['1']);
  }
  if (flag === null) return { batch: false, procedures: [path] };
  const procedures = path.split(',');
  if (procedures.length > options.batchMax) {
    const message = `A batch has at most ${options.batchMax} calls; this one has ${procedures.length}. Send several.`;
    throw invalid('batch', message, { max: options.batchMax });
  }
  if (procedures.some((procedure) => procedure === '')) {
    throw invalid('batch', 'A batch names its procedures, separated by commas, none of them empty.', null);
  }
  return { batch: true, procedures };
}

/**
 * Throws VALIDATION for a URL that is not percent-encoded UTF-8: decoded as it is, a broken byte would become U+FFFD, and what is looked
 * for would not be what was sent.
 */
export function checkUrl(url: string): void {
  try {
    decodeURIComponent(url);
    if (/^[\x21-\x7e]*$/.test(url)) return;
  } catch {
    // Refused below, as what is not encoded at all.
  }
  throw invalid('input', 'The URL is not valid UTF-8 in percent-encoding. Encode the input, or send it by POST.', null);
}

/** Parses and checks the input text, of a body or of `?input=`. Empty text is no input. */
export function checkInput(
  text: string,
  call: HttpCall,
  options: Pick<ApiOptions, 'depthMax' | 'keysMax' | 'valuesMax'>,
): void {
  if (text === '') return;
  const value = parseBody(text, options, call.batch);
  if (!call.batch) return;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalid(
      '',
      'The body of a batch is an object from the index of each call to its input.',
      '{ "0": …, "1": … }',
    );
  }
  const stray = Object.keys(value).find((key) => !isIndex(key, call.procedures.length));
  if (stray === undefined) return;
  const message = `The batch has ${call.procedures.length} calls; "${stray.slice(0, 32)}" is the index of none of them.`;
  throw invalid(stray.slice(0, 32), message, { min: 0, max: call.procedures.length - 1 });
}

function isIndex(key: string, length: number): boolean {
  return /^(0|[1-9]\d{0,3})$/.test(key) && Number(key) < length;
}

function invalid(path: string, message: string, allowed: Json): ApiError {
  return validationError([{ path, message, allowed }]);
}
