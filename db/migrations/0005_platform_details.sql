ALTER TABLE "syncline"."slices" ADD COLUMN "ids" text[];--> statement-breakpoint
ALTER TABLE "syncline"."slices" ADD COLUMN "versions" bigint[];--> statement-breakpoint
ALTER TABLE "syncline"."visits" ADD COLUMN "version" bigint;--> statement-breakpoint
ALTER TABLE "syncline"."rejects" ADD COLUMN "accepted_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "passes_open" ON "syncline"."passes" USING btree ("connection_id","stream") WHERE ended_at IS NULL;