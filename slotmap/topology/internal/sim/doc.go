// Package sim is a cluster and its clients in virtual time, to see what a
// [topology.Router] and a [topology.Refresher] do in the long run.
//
// Servers gossip as Valkey's do (cluster_legacy.c): a header says what its sender
// owns and under which config epoch, and a receiver believes it where it knows of
// no higher epoch (clusterUpdateSlotsConfigWith). Messages take time, and some
// are lost. A server that does not answer is suspected by each of the others
// after the node timeout, has failed when a majority of the primaries suspect it,
// and is replaced by a replica that they vote for. Servers can be killed, paused,
// restarted, failed over by hand, forgotten and met again; slots and replicas can
// be moved.
//
// Clients send commands, follow redirects, and ask for views. There are several
// kinds, which differ in when they ask and in what they do with the answer.
//
// A run is determined by its seed. No clock is read.
package sim
