"""The helper process that reads an inventory with ansible-core. Nothing else of siteproof imports it."""
