# Which containerd crictl is asked at: $endpoint. Given: `owned`. Nobody but root may say it: no variable, no file of others.
#
# Both options are given, since each has a setting of its own that would count in its place; what crictl tries where
# neither is set may be another runtime.
unset CRI_CONFIG_FILE CONTAINER_RUNTIME_ENDPOINT IMAGE_SERVICE_ENDPOINT
for settings in /etc/crictl.yaml /var/lib/rancher/k3s/agent/etc/crictl.yaml; do
    why=$(owned $settings 2>&1) || [ $? = 2 ] || { printf '%s\n' "$why" >&2; exit 1; }
done
case $(sed -n "s/^runtime-endpoint:[[:space:]]*[\"']\{0,1\}//p" /etc/crictl.yaml 2>/dev/null) in
*/run/k3s/containerd/containerd.sock*) endpoint=unix:///run/k3s/containerd/containerd.sock ;;
*/run/containerd/containerd.sock*) endpoint=unix:///run/containerd/containerd.sock ;;
*/var/snap/microk8s/common/run/containerd.sock*) endpoint=unix:///var/snap/microk8s/common/run/containerd.sock ;;
'')
    endpoint=unix:///run/containerd/containerd.sock
    for rancher in /var/lib/rancher/k3s/agent /var/lib/rancher/rke2/agent; do
        [ ! -d $rancher ] || endpoint=unix:///run/k3s/containerd/containerd.sock
    done
    ;;
*) echo "the runtime-endpoint in /etc/crictl.yaml is no socket of a containerd that is known" >&2; exit 1 ;;
esac
