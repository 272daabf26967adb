#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first process of the virtual machine: swap on, tests, power off. What they say
# goes to the console and to /srv/results, which vm.py reads from the disk afterwards.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TMPDIR=/srv/tmp
export MEMWHY=/srv/bin/memwhy MEMWHY_HELPERS=/srv/bin PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts pts /dev/pts
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
mkswap -q /dev/vdc && swapon /dev/vdc
# What is held still is to rest: the kernel swaps nothing out by itself, and does not
# fill gaps to make huge pages.
echo 0 >/proc/sys/vm/swappiness
echo 0 >/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none
echo 4000000000 >/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
# The tests look at other users' processes, from processes of their own.
chmod 755 /srv /srv/tests
# Labs write files and limit groups of processes.
mount --bind /srv/tmp /var/tmp
echo +memory >/sys/fs/cgroup/cgroup.subtree_control

cd /srv/tests || exit 1
uname -sr
while read -r name words; do
	case $name in
	vm | vm_*) script=vm/test_$name.py ;;
	record) script=vm/record.py ;;
	labs) script=/srv/bin/labs/check.py words="$MEMWHY $words" ;;
	*) script=live/test_$name.py ;;
	esac
	echo "== $name"
	PYTHONPATH=/srv/tests/live python3 "$script" $words 2>&1 | tee "/srv/results/$name.tap"
done </srv/wanted
touch /srv/results/done
sync
swapoff /dev/vdc
mount -o remount,ro /srv
echo o >/proc/sysrq-trigger
sleep 60
