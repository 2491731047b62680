// Package plantest has a cluster on paper: servers without sockets, processes and
// time, to try plans and clients on. Its nodes answer commands as Valkey and Redis
// do, with MOVED, ASK, CROSSSLOT, TRYAGAIN and CLUSTERDOWN in their words and order
// (getNodeByQuery of Valkey's cluster.c), each by what it knows itself. Nothing
// happens unless it is told to: what a node decides, others hear when
// [Cluster.Gossip] is called, and migrations that servers do in the background are
// done at once.
//
// A client is tested on it by connections that call [Conn.Do], or by a Dial of its
// own that wraps them; a plan by [Cluster.Run] and [Cluster.Check].
//
// There is one database, of strings, and the commands are those that a test needs:
// GET, SET, DEL, EXISTS, MGET, MSET, INCR, DBSIZE, PING, INFO, READONLY, READWRITE,
// ASKING, MIGRATE, and of CLUSTER all that steps of plans and clients use. Replicas
// have all that their primary has, without delay.
package plantest
