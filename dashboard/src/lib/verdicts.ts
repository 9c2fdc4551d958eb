// Verdicts over received requests, in words.

export type Outcome = 'accepted' | 'duplicate' | 'handshake' | 'rejected';

const outcomes: Record<string, ['good' | 'bad' | 'info' | 'plain', string]> = {
  accepted: ['good', 'Accepted'],
  duplicate: ['plain', 'Duplicate'],
  handshake: ['info', 'Handshake'],
  rejected: ['bad', 'Rejected'],
};
/** The colour and the word of an outcome. */
export const outcomeOf = (outcome: string): ['good' | 'bad' | 'info' | 'plain', string] => outcomes[outcome] ?? ['plain', outcome];

const causes: Record<string, string> = {
  address_not_allowed: 'Its network may not send to this source',
  bad_credentials: 'User name or password are wrong',
  body_hash_mismatch: 'The hash of the body does not fit the body',
  body_too_large: 'The body is larger than allowed',
  cert_expired: 'The certificate has expired',
  cert_untrusted: 'The certificate is not trusted',
  cert_url_untrusted: 'The certificate’s address is not the provider’s',
  cert_wrong_name: 'The certificate is another’s',
  key_unavailable: 'The provider’s key could not be fetched',
  malformed_body: 'The body has not the provider’s form',
  malformed_challenge: 'The handshake has not the provider’s form',
  malformed_header: 'The signature’s header has not the provider’s form',
  malformed_jwt: 'The token is not a JWT',
  malformed_timestamp: 'The timestamp cannot be read',
  missing_header: 'The signature’s header is missing',
  missing_signature: 'There is no signature',
  missing_timestamp: 'There is no timestamp',
  signature_mismatch: 'The signature does not fit',
  timestamp_expired: 'The timestamp is too old',
  timestamp_in_future: 'The timestamp lies in the future',
  token_mismatch: 'The token is another',
  unexpected_handshake: 'A handshake that was not expected',
  unknown_key: 'It is signed with a key that is not known',
  unsupported_algorithm: 'It is signed with an algorithm that is not accepted',
  unsupported_version: 'It is signed by a version that is not accepted',
  url_mismatch: 'It was signed for another URL',
  wrong_issuer: 'The token’s issuer is another',
  wrong_recipient: 'It is meant for another recipient',
  wrong_sender: 'The sender is another',
};

/** Why a request was refused. */
export function causeOf(cause: string | null | undefined): string {
  if (!cause) return 'It was refused';
  const known = causes[cause];
  if (known) return known;
  const said = cause.replace(/_/g, ' ');
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** The hint behind the cause: the log has `cause: hint`. */
export function hintOf(cause: string | null | undefined, text: string): string {
  const rest = (cause && text.startsWith(cause) ? text.slice(cause.length).replace(/^:\s*/, '') : text).replace(/`([^`]*)`/g, '“$1”');
  return rest && `${rest.charAt(0).toUpperCase()}${rest.slice(1)}${/[.?!]$/.test(rest) ? '' : '.'}`;
}

/** Causes that `verify again` judges anew: the request was read whole. */
export const canVerifyAgain = (cause: string | null | undefined): boolean => !['address_not_allowed', 'body_too_large', 'too_many_requests'].includes(cause ?? '');
