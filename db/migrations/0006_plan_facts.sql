ALTER TABLE "org"."plans" ADD COLUMN "doubts" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "org"."plans" ADD COLUMN "written" jsonb DEFAULT '{}'::jsonb NOT NULL;