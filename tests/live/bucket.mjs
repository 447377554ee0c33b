// A bucket in a process of its own, which does as told.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Example } from './example.mjs';

const NAME = 'evidence';

export class Bucket {
  static async start() {
    const bucket = new Bucket();
    bucket.endpoint = await bucket.example.ready;
    return bucket;
  }

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'cabildo-bucket-'));
    this.keyId = 'a-key-of-this-test';
    this.secret = randomBytes(16).toString('hex');
    const parameters = [this.directory, NAME, this.keyId, this.secret];
    this.example = new Example('bucket', parameters);
  }

  /** What a server needs in its environment to keep recordings here. */
  get environment() {
    return {
      CABILDO_VAULT__KIND: 's3',
      CABILDO_VAULT__S3__ENDPOINT: this.endpoint,
      CABILDO_VAULT__S3__BUCKET: NAME,
      CABILDO_VAULT__S3__PATH_STYLE: 'true',
      CABILDO_VAULT__S3__ACCESS_KEY_ID: this.keyId,
      CABILDO_VAULT__S3__SECRET_ACCESS_KEY: this.secret,
    };
  }

  /** Sets the mood and waits until it is set. */
  become(mood) {
    const is = (printed) => printed.includes(`now ${mood}`);
    return this.example.tell(mood, `the bucket to be ${mood}`, is);
  }

  /** The names of all sealed segments in it. */
  segments() {
    return readdirSync(join(this.directory, NAME), { recursive: true })
      .map(String)
      .filter((path) => /^[0-9a-f-]{36}\/[0-9a-f-]{36}\/[0-9a-f-]{36}\/\d{8}$/.test(path));
  }

  async stop() {
    await this.example.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
