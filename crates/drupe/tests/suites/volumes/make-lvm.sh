#!/bin/sh
# Makes pv0.bin and pv1.bin: the first 64 KiB of the physical volumes, 128 MiB
# each, of a group with a volume of each kind. Needs lvm2 and loop devices; with
# or without the device mapper, since lvm2 only writes its metadata here. The
# kinds that lvcreate makes only where it can activate them are put into the
# text by hand.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cd "$work"
loops=
trap 'for loop in $loops; do losetup --detach "$loop"; done; rm -r "$work"' EXIT
for n in 0 1; do
	truncate --size 128M pv$n
	loops="$loops $(losetup --find --show pv$n)"
done
lvm="lvm"
dry="--driverloaded n --quiet"
$lvm pvcreate $dry $loops
$lvm vgcreate $dry vg0 $loops
$lvm lvcreate $dry -an -Zn -Wn --size 16M --name root vg0
$lvm lvcreate $dry -an -Zn -Wn --size 16M --stripes 2 --stripesize 64 --name stripes vg0
# What the other kinds are made of.
n=0
for size in 8 4 8 4 32 8 8 8 8; do
	pv=$(echo $loops | cut -d' ' -f$(case $n in 2 | 3 | 7) echo 2 ;; *) echo 1 ;; esac))
	$lvm lvcreate $dry -an -Zn -Wn --size ${size}M --name x$n vg0 "$pv"
	n=$((n + 1))
done
$lvm vgcfgbackup $dry --file text vg0
python3 - <<'END'
import re, uuid
text = open('text').read()
parts = """twice_rimage_0 twice_rmeta_0 twice_rimage_1 twice_rmeta_1
    pool_tdata pool_tmeta old_mimage_0 old_mimage_1 later""".split()
for n, name in enumerate(parts):
    start = text.index('\t\tx%d {' % n)
    end = text.index('\n\t\t}\n', start)
    part = text[start:end].replace('x%d' % n, name, 1)
    if name != 'later':
        part = part.replace(', "VISIBLE"', '')
    text = text[:start] + part + text[end:]
def volume(name, extents, body, status='"READ", "WRITE", "VISIBLE"'):
    u = uuid.uuid5(uuid.NAMESPACE_DNS, name).hex
    u = '-'.join([u[0:6], u[6:10], u[10:14], u[14:18], u[18:22], u[22:26], u[26:32]])
    return '''\t\t%s {
\t\t\tid = "%s"
\t\t\tstatus = [%s]
\t\t\tflags = []
\t\t\tsegment_count = 1
\t\t\tsegment1 {
\t\t\t\tstart_extent = 0
\t\t\t\textent_count = %d
%s\t\t\t}
\t\t}
''' % (name, u, status, extents, ''.join('\t\t\t\t%s\n' % line for line in body))
new = volume('twice', 2, ['type = "raid1"', 'device_count = 2', 'region_size = 1024',
    'raids = ["twice_rmeta_0", "twice_rimage_0", "twice_rmeta_1", "twice_rimage_1"]'])
new += volume('old', 2, ['type = "mirror"', 'mirror_count = 2', 'region_size = 1024',
    'mirrors = ["old_mimage_0", 0, "old_mimage_1", 0]'])
new += volume('pool', 8, ['type = "thin-pool"', 'metadata = "pool_tmeta"', 'pool = "pool_tdata"',
    'transaction_id = 1', 'chunk_size = 128', 'discards = "passdown"', 'zero_new_blocks = 1'])
new += volume('thin', 4, ['type = "thin"', 'thin_pool = "pool"', 'transaction_id = 0', 'device_id = 1'])
new += volume('snapshot0', 2, ['type = "snapshot"', 'chunk_size = 8', 'origin = "root"', 'cow_store = "later"'],
    '"READ", "WRITE"')
end = text.index('\n\t}\n', text.index('logical_volumes {'))
text = text[:end + 1] + new + text[end + 1:]
open('text', 'w').write(text)
END
$lvm vgcfgrestore $dry --force --file text vg0
$lvm lvs $dry --all vg0
for n in 0 1; do head --bytes 65536 pv$n >"$here/pv$n.bin"; done
