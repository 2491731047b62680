// Package plantest simulates a cluster, for tests of plans and clients: servers without
// sockets, processes and time. Each node answers commands by its own view. It sends the
// MOVED, ASK, CROSSSLOT, TRYAGAIN and CLUSTERDOWN errors of Valkey and Redis, in the
// order of getNodeByQuery of Valkey's cluster.c. Nothing happens without a call:
// [Cluster.Gossip] exchanges all messages, [Cluster.Send] and [Cluster.Deliver] single
// ones, and migrations that servers run in the background take no time.
//
// Nodes handle messages by the rules of clusterProcessPacket and
// clusterUpdateSlotsConfigWith of Valkey's cluster_legacy.c: the claim with the highest
// config epoch gets a slot, a node that loses a slot deletes its keys, an old claim is
// answered by an UPDATE, and of two nodes with one epoch the one with the smaller id takes
// the next. [Cluster.SetRules] chooses between the rules before and from Valkey 8.0 on.
//
// To test a client, use [Cluster.Dial] and [Conn.Do], or a connection type of your own
// around them. To test a plan, use [Cluster.Run] and [Cluster.Check].
//
// There is one database, of strings, with the commands that tests need: GET, SET, DEL,
// EXISTS, MGET, MSET, INCR, DBSIZE, PING, INFO, READONLY, READWRITE, ASKING, MIGRATE, and
// the CLUSTER subcommands that steps of plans and clients use. Replicas have the keys of
// their primary without delay.
package plantest
