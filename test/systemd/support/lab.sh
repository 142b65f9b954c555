#!/bin/bash
# What a test node runs as its kubelet: pods first, with flows between them, and then the etcd that podfence watches, as a node
# does whose etcd is a workload of its own.
set -eu
lab=/root/lab

pod() { # NAME ADDRESS
  ip netns add "$1"
  ip link add "cali$1" type veth peer name eth0 netns "$1"
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
  ip -n "$1" address add "$2/32" dev eth0
  ip -n "$1" route add 169.254.1.1 dev eth0
  ip -n "$1" route add default via 169.254.1.1
  ip link set "cali$1" up
  ip address add 169.254.1.1/32 dev "cali$1"
  ip route add "$2/32" dev "cali$1"
}

mkdir -p /run/lab
sysctl -qw net.ipv4.ip_forward=1
pod web 10.65.0.1
pod friend 10.65.0.2
pod stranger 10.65.0.3
ip netns exec web perl "$lab/flow" web /run/lab/web.json &
for sender in friend stranger; do
  ip netns exec $sender perl "$lab/flow" $sender "/run/lab/$sender.json" 10.65.0.1 &
done
sleep 5
exec etcd --data-dir /var/lib/lab-etcd --logger zap --log-outputs stderr --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379
