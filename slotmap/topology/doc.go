// Package topology reads what the nodes of a Valkey or Redis cluster say about
// their cluster, and routes commands by it.
//
// [ParseNodes], [ParseSlots] and [ParseShards] read CLUSTER NODES, SLOTS and
// SHARDS of every server version that has them. Each returns a [Cluster]: the view
// of one node, with the nodes, the shards, and a table of slot owners. [NewCluster]
// builds a Cluster from a program's own records, and [Merge] from the views of several
// nodes. [ParseRedirect] reads MOVED and ASK. [Classify] says what a client should do
// about any error of a cluster.
//
// A client embeds a [Router]. Its lookups never wait; views update its map, and
// redirects correct it. A [Refresher] decides when to ask for a view, and which nodes
// to ask. Its example is a client's complete loop.
//
// A node is known by its id. Its address is not its identity: it depends on who
// asks, on the connection's protocol and on the server's settings, and a node may
// have none. Only if a reply has no ids (CLUSTER SLOTS before version 4.0), or gives
// one id to several addresses, as some proxies do, a node is known by its address.
//
// # Addresses
//
// [Node.Addr] is the address to dial, or "" if there is none. These are the
// rules, for the cases that clients get wrong:
//
//   - In CLUSTER SLOTS and CLUSTER SHARDS the endpoint is what the server prefers
//     clients to use, and it is used as it is: an IP address is not replaced by
//     a hostname beside it, nor a hostname by an IP address.
//   - There, an endpoint that is null, "", 0.0.0.0 or :: is the host that was
//     asked, as [Origin] names it. In CLUSTER NODES only the line of the node that was
//     asked ("myself") can mean that; the empty address of any other node is unknown.
//   - An endpoint "?" says that the server prefers hostnames and that the node
//     has none. A "?" is never an address. The node's IP, where the reply has
//     it, stays readable in [Node.IP].
//   - CLUSTER SHARDS of some proxies has no endpoint field. Then the endpoint is the
//     hostname, else the IP, else the host that was asked.
//   - A node with the flag noaddr has no address. A node whose endpoint is known
//     and whose port is 0 has the port that was asked: its server listens for TLS
//     only, and something in front of it speaks TLS for the client. A node without
//     endpoint and port has no address.
//   - IPv6 addresses come without brackets; Addr has them.
//   - Over TLS the port is the tls-port of CLUSTER SHARDS. If no node of the
//     reply has one, a proxy in front of the servers handles TLS, and the port is
//     the plain one. CLUSTER NODES and SLOTS show the port that fits the connection
//     of the client that asks.
//   - Loopback addresses are left as they are.
//   - As the last step, [Origin].Map translates an address to one that this
//     client can reach, for nodes behind NAT and in containers. It translates the
//     addresses of redirects too.
//
// # Owners
//
// Only primaries own slots. If a reply gives slots to a replica, to a node in
// handshake or to a node without a role, that node still owns nothing, and there
// is a warning. A primary without an address owns its slots, as in the servers:
// the client sees a shard that it cannot reach, and does not take the slots for
// unassigned.
//
// If two nodes claim a slot, the claim with the higher config epoch wins, as in the
// servers (clusterUpdateSlotsConfigWith in Valkey's cluster_legacy.c). Of equal
// epochs, the node that has an address wins; then the one with the smaller id, which
// gets the higher epoch when servers settle a tie (clusterHandleConfigEpochCollision).
// A shard of CLUSTER SHARDS may list its dead primary beside the new one: then the
// primary that has not failed owns the slots.
//
// # Limits
//
// A reply may have up to 65536 nodes, CLUSTER SLOTS up to 65536 entries, and a text up
// to 64 MiB. More is an error. Time and memory are proportional to the length of the
// reply, for every input.
package topology
