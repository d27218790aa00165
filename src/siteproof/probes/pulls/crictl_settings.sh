# crictl speaks to where its settings say. Given: `owned`. Nobody but root may say it: no variable, no file of others.
unset CRI_CONFIG_FILE CONTAINER_RUNTIME_ENDPOINT IMAGE_SERVICE_ENDPOINT
for settings in /etc/crictl.yaml /var/lib/rancher/k3s/agent/etc/crictl.yaml; do
    why=$(owned $settings 2>&1) || [ $? = 2 ] || { printf '%s\n' "$why" >&2; exit 1; }
done
