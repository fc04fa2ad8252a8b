CREATE SEQUENCE "syncline"."epochs" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
-- By hand: claims that were taken before keep what they have.
SELECT setval('"syncline"."epochs"', (SELECT coalesce(max("epoch"), 0) + 1 FROM "syncline"."claims"));