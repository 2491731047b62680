// Package plantest has a cluster on paper: servers without sockets, processes and
// time, to try plans and clients on. Its nodes answer commands as Valkey and Redis
// do, with MOVED, ASK, CROSSSLOT, TRYAGAIN and CLUSTERDOWN in their words and order
// (getNodeByQuery of Valkey's cluster.c), each by what it knows itself. Nothing
// happens without a call: what a node decides, others hear by [Cluster.Gossip], or
// message by message by [Cluster.Send] and [Cluster.Deliver], and migrations that
// servers do in the background are done at once.
//
// Messages are taken as clusterProcessPacket and clusterUpdateSlotsConfigWith of
// Valkey's cluster_legacy.c take them: the claim with the highest config epoch has a
// slot, a node that loses a slot to it deletes the keys, an old claim is answered by an
// UPDATE, and of two nodes with one epoch the one with the smaller id takes the next.
// [Cluster.SetRules] chooses between what servers do before Valkey 8.0 and from then on.
//
// A client is tested on it by connections that call [Conn.Do], or by a Dial of its
// own that wraps them; a plan by [Cluster.Run] and [Cluster.Check].
//
// There is one database, of strings, and the commands are those that a test needs:
// GET, SET, DEL, EXISTS, MGET, MSET, INCR, DBSIZE, PING, INFO, READONLY, READWRITE,
// ASKING, MIGRATE, and of CLUSTER all that steps of plans and clients use. Replicas
// have all that their primary has, without delay.
package plantest
