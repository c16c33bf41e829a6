"""What bgrd says about itself: log, systemd notifications, status."""
