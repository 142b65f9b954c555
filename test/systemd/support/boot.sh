#!/bin/bash
# Boots a Debian tree in a systemd container until SIGTERM, which shuts it down: `boot.sh TREE CONSOLE`. What systemd-nspawn keeps
# in /run and in the control groups of this machine goes with it.
set -eu
[ "${PODFENCE_BOOT:-}" = inside ] || PODFENCE_BOOT=inside exec unshare --mount "$0" "$@"
tree=$1 console=$2
mount -t tmpfs tmpfs /run

groups=()
for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  group=$root/podfence-machine.$$
  [ -e "$root/cgroup.procs" ] && mkdir "$group" && echo $$ >"$group/cgroup.procs" && groups+=("$group")
done 2>/dev/null
leave() {
  for group in "${groups[@]}"; do
    echo $$ >"$(dirname "$group")/cgroup.procs"
    find "$group" -depth -type d -exec rmdir {} + || true
  done
}
trap leave EXIT

setpriv --pdeathsig KILL systemd-nspawn --quiet --directory "$tree" --boot -U --private-network --register=no --keep-unit \
  --console=pipe </dev/null >>"$console" 2>&1 &
container=$!
trap 'kill $container' TERM
# A signal ends the first wait; the container takes its time after it.
wait $container || wait $container
