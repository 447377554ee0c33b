// What tests of TURN have in common.

/**
 * Lets connections use relays only, and of the servers only the one that is reached in this way.
 * Over UDP the server is at the address at which it is told over TCP.
 */
export const relayOnly = (way) => `{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration) {
      const scheme = ${JSON.stringify(way)} === 'tls' ? 'turns:' : 'turn:';
      const transport = ${JSON.stringify(way)} === 'udp' ? 'udp' : 'tcp';
      const iceServers = configuration.iceServers.map(({ urls, ...credentials }) => ({
        ...credentials,
        urls: urls
          .filter((url) => url.startsWith(scheme))
          .map((url) => url.replace('transport=tcp', 'transport=' + transport)),
      }));
      super({ ...configuration, iceServers, iceTransportPolicy: 'relay' });
    }
  };
}`;

/** The sum of a metric over its labels that match. */
export async function metric({ server }, name, labels = '') {
  const text = await (await fetch(`${server.origin}/metrics`)).text();
  const rows = text.split('\n').filter((row) => row.startsWith(name) && row.includes(labels));
  return rows.reduce((sum, row) => sum + Number(row.split(' ').at(-1)), 0);
}
