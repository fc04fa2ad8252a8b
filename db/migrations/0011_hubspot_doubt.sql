ALTER TABLE "syncline"."hubspot_calls" ADD COLUMN "ids" text[];--> statement-breakpoint
ALTER TABLE "syncline"."hubspot_contacts" ADD COLUMN "doubt_id" text;--> statement-breakpoint
ALTER TABLE "syncline"."hubspot_contacts" ADD COLUMN "told_left" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "hubspot_contacts_doubt" ON "syncline"."hubspot_contacts" USING btree ("connection_id","doubt_id") WHERE "syncline"."hubspot_contacts"."doubt_id" IS NOT NULL;