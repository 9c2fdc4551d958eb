-- What is set aside, by message: where the deliveries of a page of messages stand, and what failed or is
-- held, newest first, are each one read. Written only when a delivery is set aside or sent again.
CREATE INDEX parked_message ON parked (message, endpoint);
