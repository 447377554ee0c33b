// Stands between a server and PostgreSQL, reads what is asked (PostgreSQL's protocol 3.0,
// without TLS), and cuts a connection at the COMMIT of a chosen transaction.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Codes of first messages that ask for encryption; PostgreSQL answers them with one byte. */
const ENCRYPTION = [80877103, 80877104];

/** What becomes of a COMMIT. */
export const FATES = {
  /** The connection is cut, and the COMMIT never reaches PostgreSQL. */
  CUT_BEFORE: 'cut before',
  /** PostgreSQL is given the COMMIT, and its answer reaches nobody. */
  CUT_AFTER: 'cut after',
  /** PostgreSQL answers with an error, and rolls back. */
  REFUSE: 'refused',
};

/** As `CUT_AFTER`, and PostgreSQL can't be reached until `back()`. */
export const AWAY = 'cut after, and away';

/** Reads the messages of one client; `judge` is asked about each COMMIT. */
class Reader {
  constructor(judge) {
    this.judge = judge;
    this.rest = Buffer.alloc(0);
    this.hasBegun = false;
    this.statements = new Map();
    /** What the running transaction has asked for. */
    this.asked = [];
  }

  /** Takes bytes; answers messages, each with the fate of its COMMIT. */
  take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    const messages = [];
    for (;;) {
      const header = this.hasBegun ? 1 : 0;
      if (this.rest.length < header + 4) return messages;
      const length = header + this.rest.readInt32BE(header);
      if (this.rest.length < length) return messages;
      const message = this.rest.subarray(0, length);
      this.rest = this.rest.subarray(length);
      messages.push({ message, fate: this.hasBegun ? this.read(message) : this.begin(message) });
    }
  }

  begin(message) {
    this.hasBegun = !ENCRYPTION.includes(message.readInt32BE(4));
    return null;
  }

  read(message) {
    const type = String.fromCharCode(message[0]);
    const texts = message.subarray(5).toString('latin1').split('\0');
    if (type === 'P') this.statements.set(texts[0], texts[1]);
    if (type === 'B') this.asked.push(this.statements.get(texts[1]) ?? '');
    if (type !== 'Q') return null;
    const [sql] = texts;
    if (!/^\s*(BEGIN|COMMIT|ROLLBACK)/i.test(sql)) {
      this.asked.push(sql);
      return null;
    }
    const { asked } = this;
    this.asked = [];
    return /^\s*COMMIT/i.test(sql) ? this.judge(asked) : null;
  }
}

export class PostgresProxy {
  /** Passes everything on to the PostgreSQL at `port`. */
  static async start(port) {
    const proxy = new PostgresProxy();
    proxy.sockets = new Set();
    proxy.plan = null;
    proxy.isAway = false;
    proxy.server = createServer((client) => {
      if (proxy.isAway) client.destroy();
      else proxy.passOn(client, connect(port, '127.0.0.1'));
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  /**
   * Does this to the next COMMIT of a transaction that writes to `table`. `happened` of
   * the answer says whether it was done.
   */
  next(fate, table) {
    const plan = { fate, writes: new RegExp(`(INSERT INTO|UPDATE|DELETE FROM) "?${table}"?\\W`) };
    plan.happened = () => this.plan !== plan;
    this.plan = plan;
    return plan;
  }

  /** Lets PostgreSQL be reached again. */
  back() {
    this.isAway = false;
  }

  judge(asked) {
    const { plan } = this;
    if (plan === null || !asked.some((sql) => plan.writes.test(sql))) return null;
    this.plan = null;
    return plan.fate;
  }

  passOn(client, database) {
    const reader = new Reader((asked) => this.judge(asked));
    for (const [socket, other] of [
      [client, database],
      [database, client],
    ]) {
      this.sockets.add(socket);
      // An error of a socket is its end, and the end of one is the end of the other.
      socket.on('error', () => other.end());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.end();
      });
    }
    database.on('data', (bytes) => client.write(bytes));
    client.on('data', (bytes) => {
      for (const { message, fate } of reader.take(bytes)) {
        if (fate === FATES.CUT_BEFORE) {
          database.destroy();
          client.destroy();
          return;
        }
        // No word of SQL: an error, which ends the transaction.
        if (fate === FATES.REFUSE) message.write('COMMIX', message.indexOf('COMMIT'), 'latin1');
        if (fate === FATES.CUT_AFTER || fate === AWAY) {
          database.removeAllListeners('data');
          database.resume();
          database.end(message);
          client.destroy();
          if (fate === AWAY) this.goAway(database);
          return;
        }
        database.write(message);
      }
    });
  }

  /** Cuts every connection but the one on which PostgreSQL was given a COMMIT. */
  goAway(committing) {
    this.isAway = true;
    for (const socket of this.sockets) if (socket !== committing) socket.destroy();
  }

  stop() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
