import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

/**
 * Encrypts a credential for `syncline.connections`. Layout: 12 bytes IV, 16 bytes tag, ciphertext. The connection's name
 * is bound in, so that a sealed credential copied to another row does not open.
 * @param key 32 bytes from SYNCLINE_SECRET_KEY
 */
export function seal(key: Buffer, connection: string, secret: string): Buffer {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, key, iv).setAAD(Buffer.from(connection));
  const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), body]);
}

/** Opens what `seal` made. Throws SealBroken when the key is another one or the row was moved. */
export function unseal(key: Buffer, connection: string, sealed: Buffer): string {
  const iv = sealed.subarray(0, ivBytes);
  const decipher = createDecipheriv(algorithm, key, iv).setAAD(Buffer.from(connection));
  decipher.setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
  try {
    return decipher.update(sealed.subarray(ivBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8');
  } catch (cause) {
    throw new SealBroken(connection, { cause });
  }
}

/** The worker's key is not the one the credential was sealed with. */
export class SealBroken extends Error {
  override name = 'SealBroken';
  constructor(connection: string, options?: ErrorOptions) {
    super(
      `The credential of connection "${connection}" does not open with this SYNCLINE_SECRET_KEY. ` +
        `Start the worker with the key it was sealed with, or seal it again: npx syncline connect ${connection} --credential-env NAME`,
      options,
    );
  }
}
