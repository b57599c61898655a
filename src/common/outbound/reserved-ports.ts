/**
 * Ports on which something listens that a POST must not reach.
 *
 * The first list is the "bad ports" of WHATWG Fetch (section 2.9, "Port blocking"): protocols that can be made to
 * misread an HTTP request. The second has what a callback could only reach through an opened private range, and what
 * takes orders over HTTP or plain text there: SMB, databases (CouchDB and Elasticsearch speak HTTP), Docker, ZooKeeper, etcd,
 * RDP, Nomad, VNC, WinRM, X11's neighbours, Kubernetes' API, Consul, printers, the kubelet, memcached. Ports that applications
 * of any kind are put on (8000, 8080, 9000, 9090) are not here, whatever else listens there by default.
 */
const RESERVED_PORTS: ReadonlySet<number> = new Set([
  ...[0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109],
  ...[110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530],
  ...[531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190],
  ...[5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080],
  ...[445, 1433, 1521, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4646, 5432, 5900, 5984, 5985, 5986, 6379, 6443, 8500],
  ...[9100, 9200, 10250, 11211, 27017],
]);

/** Whether callbacks to the port are refused. */
export function isReservedPort(port: number): boolean {
  return RESERVED_PORTS.has(port);
}
