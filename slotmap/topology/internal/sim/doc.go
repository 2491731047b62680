// Package sim simulates a cluster and its clients in virtual time. It shows what a
// [topology.Router] and a [topology.Refresher] do in the long run.
//
// Servers gossip as Valkey's do (cluster_legacy.c). A header says which slots its
// sender owns and under which config epoch. A receiver believes it for the slots for
// which it knows no higher epoch (clusterUpdateSlotsConfigWith). Messages take time,
// and some are lost. Each server suspects another that has not answered for the node
// timeout. A server has failed when a majority of the primaries suspect it, and is
// replaced by a replica that they vote for. Servers can be killed, paused, restarted,
// failed over by hand, forgotten and met again. Slots and replicas can be moved.
//
// Clients send commands, follow redirects, and ask for views. There are several
// kinds, which differ in when they ask and in what they do with the answer.
//
// A run is determined by its seed. No clock is read.
package sim
